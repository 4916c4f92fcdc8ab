"""Code rewards: what an answer has to meet, checked without a model."""
