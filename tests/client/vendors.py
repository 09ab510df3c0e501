"""The vendors' own packages, pointed at a pretend provider, without retries of their own."""

import anthropic
import openai

HELLO = [{"role": "user", "content": "Say hello to everyone in this room."}]


def openai_client(provider, kind=openai.OpenAI):
    return kind(base_url=provider.url + "/v1", api_key="x", max_retries=0)


def anthropic_client(provider, kind=anthropic.Anthropic):
    return kind(base_url=provider.url, api_key="x", max_retries=0)
