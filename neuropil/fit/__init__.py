"""Models of recordings: point-process GLMs, tokenisers, pretraining, latent dynamics."""
