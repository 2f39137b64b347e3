"""A version for use where there is no renate: a graph with its preprocessing, labels and signature,
compared with the version itself before anything is left behind.
"""
