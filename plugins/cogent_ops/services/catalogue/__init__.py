"""Catalogue flow: commercetools product master → gate → Cloudshelf.

``plan`` decides what to read, ``extract`` reads it, ``gate`` judges it, ``push`` sends it, ``finish`` closes the
run; ``sync`` is the face that operators and the command line use.
"""
