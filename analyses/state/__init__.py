"""Memory that a recurrent layer carries from token to token.

I want to know how much it can hold, and what limits it   -> recall_capacity/
"""
