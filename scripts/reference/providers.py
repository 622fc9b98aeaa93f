"""The page of the kinds of providers."""

from scripts.reference.page import code, page, table
from shared.model.providers import ProviderAuth
from shared.providers.shipped.presets import presets


def providers_page() -> str:
    """Every kind of provider, with its address, its APIs and its parameters."""
    rows = [
        (
            f"[{kind}]({preset.docs})",
            preset.title,
            code(preset.base_url) if preset.base_url else "your own",
            _place(preset.auth) + (", optional" if preset.optional_key else ""),
            ", ".join(map(code, preset.apis)) or "your own",
            ", ".join(
                f"{code(name)}{'' if one.is_required else ' (optional)'}"
                for name, one in preset.params.items()
            ),
        )
        for kind, preset in presets().items()
    ]
    return page(
        "Kinds of providers",
        "`kind` of a provider says where its calls go. `base_url`, `apis` and `auth` of the provider replace "
        "what the kind says. [Connect providers](../how-to/providers.md) has an example. A parameter such as "
        "`{region}` stands in the address; Azure and Bedrock have other addresses for some of their values.",
        table(("kind", "service", "address", "credential", "APIs", "parameters"), rows),
    )


def _place(auth: ProviderAuth) -> str:
    return "`Authorization: Bearer`" if auth.type == "bearer" else code(f"{auth.name}")
