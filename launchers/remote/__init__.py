"""What every backend needs whose jobs run on other machines and are heard of through an object
store.
"""
