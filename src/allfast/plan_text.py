"""A plan as text for people, made from the same document that `--json` prints."""

from __future__ import annotations

from typing import Any

from allfast.text import megabytes, table


def plan_lines(plan: dict[str, Any]) -> list[str]:
    """The lines of a plan (`dataclasses.asdict` of model.plan.Plan, with its texts)."""
    commit = plan["commit"]
    lines = [f"Plan: {plan['deployment']} to {plan['target']}, commit {commit['sha'][:7]} ({commit['subject']})"]
    lines.append(f"  live now: {plan['live'] or 'nothing yet'}")
    lines += _canary(plan)
    lines += [] if plan["share_only"] else _services(plan["services"])
    lines += _data(plan["data"])
    lines += [] if plan["share_only"] else _routes(plan["routes"])
    lines += [f"  {line}" for line in plan["proxy"]]
    lines += _environment(plan["environment"])
    lines += [f"  runs once: {shot}" for shot in plan["one_shots"]]
    lines += _to_send(plan["to_send"], plan["to_send_total"])
    lines += [f"  mends: {mend}" for mend in plan["mends"]]
    lines += [f"  note: {note}" for note in plan["notes"]]
    lines += [f"  forced: {plan['force']}"] if plan["force"] else []
    for finding in plan["findings"]:
        mark = "refused" if finding["level"] == "refuse" else "overruled" if finding["forced"] else "warning"
        hint = f" ({finding['hint']})" if finding["hint"] else ""
        lines.append(f"  {mark}: {finding['text']}{hint}")
    if plan["nothing_to_do"]:
        lines.append("  nothing to do")
    return lines


def _canary(plan: dict[str, Any]) -> list[str]:
    if not plan["canary"]:
        return []
    line = f"  canary: {plan['canary']} % of the visitors"
    if plan["share_only"]:
        return [line + "; it runs already, and nothing else changes"]
    waits = ", ".join(plan["waits"])
    return [line + (f"; {waits} start{'s' * (len(plan['waits']) == 1)} with `allfast promote`" if waits else "")]


def _services(services: list[dict[str, Any]]) -> list[str]:
    if not services:
        return []
    rows = [("service", "image", "", "container", "")]
    rows += [(s["service"], s["method"] or "-", s["reason"], s["step"], s["step_reason"]) for s in services]
    lines = table(rows)
    kinds = [f"  {s['service']} is {s['kind']}: {s['kind_reason']}" for s in services]
    return ["", *lines, "", *kinds]


def _to_send(items: list[dict[str, Any]], total: dict[str, Any]) -> list[str]:
    if not items:
        return []
    line = "  to send: " + ", ".join(f"{item['service']} {_amount(item)}" for item in items)
    sizes = [f"at most {megabytes(total['most'])}"] if total["most"] else []
    sizes += [f"about {megabytes(total['expected'])}"] if total["expected"] else []
    if len(items) < 2 or not sizes:
        return [line]
    unknown = [item["service"] for item in items if _is_unknown(item)]
    besides = f", besides {', '.join(unknown)}" if unknown else ""
    return [line, f"  to send in all: {' and '.join(sizes)}{besides}"]


def _is_unknown(item: dict[str, Any]) -> bool:
    """Whether nothing can be told of an image before it is built."""
    return item["most"] is None and item["expected"] is None and not item["pulled"]


def _amount(item: dict[str, Any]) -> str:
    """What is certain comes first: what builds like it took says little of a change that is larger than theirs."""
    about = f"about {megabytes(item['expected'])}" if item["expected"] is not None else ""
    if item["pulled"]:
        return _pulled(item)
    if item["most"] is not None:
        return _most(item, f"; builds like it took {about}" if about else "")
    if _is_unknown(item):
        return "(known when it is built)"
    if item["changed"] is None:
        return f"{about} if it changes as builds before did"
    large = f"; its changed files have {megabytes(item['changed'])}" if item["changed"] > item["expected"] else ""
    return f"{about} (as builds like this one before{large})"


def _pulled(item: dict[str, Any]) -> str:
    """An image that nobody builds."""
    if item["most"] is None:
        return f"nothing (the server has to pull {item['pulled']}: this machine has none to send)"
    return f"nothing where the server can pull {item['pulled']}, else {_most(item, '')}"


def _most(item: dict[str, Any], more: str) -> str:
    size = f"{'about' if item['estimated'] else 'at most'} {megabytes(item['most'])}"
    shared = f", and {item['shared']} of an image before it" if item["shared"] else ""
    return f"{size} ({item['layers']} of {item['of']} layers{shared}{more})"


def _data(data: list[dict[str, Any]]) -> list[str]:
    lines = []
    for item in data:
        gap = f", {item['gap']}" if item["gap"] else ""
        lines.append(f"  {item['service']} is data: {item['action']}: {item['reason']}{gap}")
    return lines


def _routes(routes: list[dict[str, Any]]) -> list[str]:
    """Those that change, and how many do not; nothing where all stay."""
    changed = [one for one in routes if one["change"] != "kept"]
    lines = [f"  route {one['change']}: {one['url']}{_way(one['before'], one['after'])}" for one in changed]
    kept = len(routes) - len(changed)
    return [*lines, f"  routes that stay: {kept}"] if lines and kept else lines


def _way(before: dict[str, Any] | None, after: dict[str, Any] | None) -> str:
    """Which address of the server it is, where not all are, and where it leads."""
    route = after or before
    assert route is not None
    host_ip = route["listen"]["host_ip"]
    words = f" at {host_ip}" * bool(host_ip) + f" -> {_target(route)}"
    return words + (f", before {_target(before)}" if before and after else "")


def _target(route: dict[str, Any]) -> str:
    return f"{route['service']}:{route['port']}{' (HTTP/2)' if route['h2c'] else ''}"


def _environment(changes: list[dict[str, Any]]) -> list[str]:
    lines = []
    for change in changes:
        source = f" (from {change['source']})" if change["source"] else ""
        lines.append(f"  environment of {change['service']}: {change['key']} {change['change']}{source}")
    return lines
