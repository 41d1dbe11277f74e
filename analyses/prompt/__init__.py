"""One prompt, seen from inside.

I want patterns, logit lens and direct logit attribution   -> single_prompt/ (`inside` on the
                                                              command line)
"""
