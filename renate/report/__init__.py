"""What happened, as one page with pictures, figures as files, and a model card.

`facts.py` says what a page is made of; whoever asks for one fills it (`renate/jobs/reporting`).
What isn't known is None or empty there, and the page says so: nothing is ever drawn as 0.
"""
