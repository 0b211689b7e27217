"""One act on many instances: previewed, made a job, and carried out by the workers a batch at a time.

A job acts with the rights that its creator has at that moment, on each instance at most once, and can be stopped.
"""
