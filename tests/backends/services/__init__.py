"""S3 and SageMaker on loopback, to test `backend=sagemaker` against; never imported by the
product.
"""
