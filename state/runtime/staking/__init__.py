"""Validators and stake: who bonds, who is chosen, who is paid, who is punished.

bonding             bond: validators, delegation, provider bonds, return from jail
delegations         shares of a validator's stake
unbonding           money on its way back to its owner
rewards             fees to validators and delegators
roster              who may be chosen as a validator
validator_updates   choice of the next validator set
equivocation        report: conviction by two conflicting votes
downtime            missed views, jail
"""
