"""What is offered: resources, their releases, and what others say about them.

resources           publish: new resources and releases
amendments          amend: their terms change
assignments         assign: their owner changes
releases            a release gets another status
endorsements        endorse: what accounts say about others
checks              what must hold of what is offered
"""
