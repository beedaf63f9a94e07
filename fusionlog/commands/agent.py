"""`fusionlog agent`: the streaming worker."""

from pathlib import Path
from typing import Annotated

import typer


def agent(
    config: Annotated[Path | None, typer.Option("--config", "-c", help="Settings file (YAML).")] = None,
    bootstrap_servers: Annotated[
        str | None, typer.Option(help="Kafka servers, host:port[,host:port]; overrides kafka.bootstrap_servers.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Check the settings and stop.")] = False,
) -> int:
    """Score raw log topics with the published model and send alerts, until SIGTERM or Ctrl-C.

    Settings come from the file, then FUSIONLOG_… in the environment (FUSIONLOG_KAFKA__BOOTSTRAP_SERVERS=…), then
    the options here; the later wins.

    Example: fusionlog agent --config agent.yaml
    """
    from agent.settings import AgentSettings
    from fusionlog.extras import require_extra
    from fusionlog.render.console import emit
    from fusionlog.settings.load import load_settings

    settings = load_settings(AgentSettings, config, {"kafka": {"bootstrap_servers": bootstrap_servers or None}})
    if check:  # needs no extra: settings are checked where nothing else is installed
        emit(f"settings are valid: {len(settings.systems)} system(s), group {settings.group}")
        return 0
    require_extra("agent", "agent")
    from agent.app import run
    from fusionlog.settings.logs import configure_logs

    configure_logs(settings.log.format, settings.log.level)
    return run(settings)
