"""What a machine proves: evidence of a vendor, to claims, to a level. It stands alone and imports nothing of ours.

This version has no verifier yet; the chain runs accounts, stake and agreement only.
"""
