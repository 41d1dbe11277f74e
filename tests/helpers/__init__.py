"""What tests share: small models, servers, browsers, and slow twins to compare with.

I want a random model in milliseconds          -> tiny.py, families.py (every family)
I want a model whose memory I know by hand     -> planted.py
I want a second device without a card          -> card.py
I want tokenizers of every kind                -> text_tokenizers.py
I want autoencoders that explain something     -> autoencoders.py
I want the slow way, to compare with           -> plain_loop.py, real_decoding.py
I want two captures compared                   -> capturing.py, backends.py (of other back ends)
I want a run or a trace to save and damage     -> examples.py
I want the server and a browser                -> serving.py, fake_package.py, synthetic.py
"""
