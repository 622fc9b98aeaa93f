"""Documents of the tests of budgets."""

from typing import Any

BUDGET: dict[str, Any] = {"name": "monthly", "limit": {"usd": "250"}, "period": "month"}
PROVIDER = {
    "name": "main",
    "kind": "openai",
    "keys": [{"secret": "sk-0123456789abcdef012345"}],
    "models": [{"id": "gpt-5.6"}, {"id": "home-made"}],
}
AI_RULE: dict[str, Any] = {"path": "/ai", "ai": {"providers": ["main"], "models": ["gpt-*", "home-*"]}}
