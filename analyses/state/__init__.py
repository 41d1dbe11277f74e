"""Memory that a recurrent layer carries from token to token.

I want to see what it holds, and change it                -> recurrent_state/
I want to know how much it can hold, and what limits it   -> recall_capacity/
"""
