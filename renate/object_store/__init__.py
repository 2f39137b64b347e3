"""Objects in S3, GCS and Azure, below states and data: how a store is opened, and what its
refusals mean.
"""
