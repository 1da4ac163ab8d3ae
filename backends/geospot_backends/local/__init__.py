"""The embedded engine: trains and samples vision-language models in this process, without a key.

`api` says what it offers; `engine` does it with torch, transformers and peft (extra `local`).
"""
