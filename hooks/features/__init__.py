"""Features: what sparse autoencoders find at a site, to look at and to change.

I want an autoencoder, by name or from a folder   -> load.py
I want to know whether it fits this model          -> quality.py
I want to see which are active, or change them     -> sae.py (`SAE`)
I want to know which mattered for an answer        -> attribute.py
I want what is active while much text goes by      -> sparse_activations.py
I want to train one                                -> train.py (sae_trainer.py: one in training;
                                                   self_generated_text.py: text of the
                                                   model's own)

The autoencoders themselves are SAELens's; nothing of them is re-implemented here.
"""
