"""What a direction of the residual stream stands for, found by sparse autoencoders.

I want to know which tokens bring features back   -> function_tokens/
"""
