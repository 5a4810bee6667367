"""Runs over all published vectors and prints a table.

Ends with 0 only if every vector agreed: what is stated was read, what must be
refused was refused, and, where the text or a vector names the rule, for that rule.
"""

import sys
import time
from pathlib import Path
from typing import Callable

from .vectors import (
    chunker,
    content,
    contexts,
    exchanges,
    limits,
    links,
    logs,
    public,
    replaced,
    secret,
    whole,
)
from .vectors.score import CORE, PROTO, Check, Score, run

FILES: list[tuple[str, str, Check]] = [
    (PROTO, "ids.json", public.check_ids),
    (PROTO, "signatures.json", public.check_signatures),
    (PROTO, "account_logs.json", logs.check_account_logs),
    (PROTO, "vault_logs.json", logs.check_vault_logs),
    (PROTO, "heads.json", logs.check_heads),
    (PROTO, "head_contexts.json", contexts.check_head_contexts),
    (PROTO, "replaced_heads.json", contexts.check_replaced_heads),
    (PROTO, "limits.json", limits.check_limits),
    (PROTO, "logins.json", public.check_logins),
    (PROTO, "login_contexts.json", contexts.check_login_contexts),
    (PROTO, "invitations.json", public.check_invitations),
    (PROTO, "addresses.json", public.check_addresses),
    (PROTO, "spellings.json", public.check_spellings),
    (CORE, "printed_heads.json", public.check_printed_heads),
    (CORE, "phrases.json", secret.check_phrases),
    (CORE, "boxes.json", secret.check_boxes),
    (CORE, "logs.json", exchanges.check_logs),
    (CORE, "keys.json", secret.check_keys),
    (CORE, "chunks.json", secret.check_chunks),
    (CORE, "packs.json", secret.check_packs),
    (CORE, "roots.json", secret.check_roots),
    (CORE, "pairing.json", exchanges.check_pairing),
    (CORE, "offers.json", exchanges.check_offers),
    (CORE, "contacts.json", secret.check_contacts),
    (CORE, "chunker.json", chunker.check_chunker),
    (CORE, "stream.json", content.check_stream),
    (CORE, "node.json", content.check_node),
    (CORE, "directory.json", content.check_directory),
    (CORE, "snapshot.json", content.check_snapshot),
    (CORE, "catalog.json", content.check_catalog),
    (CORE, "settings.json", content.check_settings),
    (CORE, "segment.json", content.check_segment),
    (CORE, "link_urls.json", links.check_link_urls),
    (CORE, "capsules.json", links.check_capsules),
    (CORE, "links.json", links.check_links),
]

# What no vector holds.
MADE: list[tuple[str, Callable[[Score], None]]] = [
    ("heads made here", replaced.check_made_heads),
    ("a vault made here", whole.check_whole_way),
]


def _row(score: Score, seconds: float) -> str:
    positive = f"{score.accepted}/{score.positive}"
    negative = f"{score.refused}/{score.negative}" if score.negative else "none"
    reasons = f"{score.same_reason}/{score.named}" if score.named else "none"
    return f"{score.file:20} {positive:>9} {negative:>9} {reasons:>9} {seconds:7.1f}"


def main(root: Path) -> int:
    """Checks every file under `root`; 1 where something did not agree."""
    listed = {(folder, file) for folder, file, _ in FILES}
    found = {
        (folder, path.name)
        for folder in (PROTO, CORE)
        for path in (root / folder).glob("*.json")
    }
    faults = [f"{folder}/{file}: not read" for folder, file in sorted(found - listed)]
    print(f"{'file':20} {'positive':>9} {'negative':>9} {'reasons':>9} {'seconds':>7}")
    for folder, file, check in FILES:
        start = time.monotonic()
        score = run(root, folder, file, check)
        print(_row(score, time.monotonic() - start), flush=True)
        wrong = score.faults + score.other_reasons
        if not score.agrees and not wrong:
            wrong = ["no vector in it"]
        faults += [f"{file}: {fault}" for fault in wrong]
    for name, check_made in MADE:
        start = time.monotonic()
        made = Score(name)
        check_made(made)
        print(_row(made, time.monotonic() - start))
        faults += [f"{made.file}: {fault}" for fault in made.faults + made.other_reasons]
    for fault in faults:
        print(f"DIFFERS {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    default = Path(__file__).resolve().parents[2]
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else default))
