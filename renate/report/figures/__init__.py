"""The figures of a report, drawn by matplotlib: one function each, from facts to a figure.

matplotlib is imported where a figure is drawn and nowhere else.
"""
