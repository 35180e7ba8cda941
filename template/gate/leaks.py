"""Keys that must not be committed: what detect-secrets does not know, and secrets in plain text.

`.secrets.baseline` names the detector; detect-secrets imports this file from the project's root.
"""

import re
import sys
from pathlib import Path

from detect_secrets.plugins.base import RegexBasedDetector

AGE = (b"age-encryption.org/v1\n", b"-----BEGIN AGE ENCRYPTED FILE-----\n")
PLAIN = re.compile(r"\.env(?!\.example$)(\..+)?|.+\.(env|key)")


class ProviderKeyDetector(RegexBasedDetector):
    """Keys of AI providers, payment and age, by the form that each vendor gives its own."""

    secret_type = "AI provider, Stripe or age key"  # noqa: S105  # pragma: allowlist secret
    denylist = [
        re.compile(rf"(?:(?<![\w-])|(?<=\\[nrt])){form}")
        for form in (
            r"sk-(?:proj|svcacct|admin|ant-[a-z0-9]+|or-v1)-[\w-]{32,}",  # OpenAI, Anthropic, OpenRouter
            r"sk-[A-Za-z0-9]{32,}",  # older keys of OpenAI, DeepSeek
            r"AIza[\w-]{35}",  # Google
            r"hf_[A-Za-z0-9]{34}",  # Hugging Face
            r"gsk_[A-Za-z0-9]{48,}",  # Groq
            r"xai-[A-Za-z0-9]{48,}",
            r"pplx-[A-Za-z0-9]{40,}",  # Perplexity
            r"r8_[A-Za-z0-9]{37}",  # Replicate
            r"[rs]k_live_[A-Za-z0-9]{16,}",  # Stripe
            r"whsec_[A-Za-z0-9+/=]{24,}",  # the signing key of a webhook, at Stripe and others
            r"AGE-SECRET-KEY-(?:PQ-)?1[0-9A-Z]{50,}",
        )
    ]


def main() -> None:
    """Refuse the files on the command line that hold secrets in plain text; exit code 1."""
    faults = [fault for name in sys.argv[1:] if (fault := plain(Path(name)))]
    print("\n".join(faults), end="\n" if faults else "")
    raise SystemExit(bool(faults))


def plain(path: Path) -> str:
    """Why this file must not be committed, and the remedy; empty where it may."""
    if path.name.endswith(".env.age"):
        remedy = f"move it away, then: uv run ops secrets edit {path.name.removesuffix('.env.age')}"
        encrypted = path.read_bytes().startswith(AGE)
        return "" if encrypted else f"{path.as_posix()}: is not encrypted; {remedy}"
    remedy = f"git rm --cached {path.as_posix()}"
    return (
        f"{path.as_posix()}: may hold a secret in plain text; {remedy}" if PLAIN.fullmatch(path.name) else ""
    )


if __name__ == "__main__":
    main()
