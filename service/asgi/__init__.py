"""The event loop: the server, its connections, and small requests answered without Flask."""

from __future__ import annotations

UVICORN_INTERNALS = {
    "HttpToolsProtocol": (
        "_should_upgrade _start_asgi_task connection_lost connection_made cycle data_received "
        "expect_100_continue flow handle_websocket_upgrade headers logger loop on_body on_header "
        "on_headers_complete on_message_begin on_message_complete on_response_complete on_url "
        "parser pause_writing pipeline scope send_400_response server_state shutdown "
        "timeout_keep_alive transport url"
    ),
    "RequestResponseCycle": (
        "body chunked_encoding default_headers disconnected expected_content_length flow "
        "keep_alive message_event more_body on_response response_complete response_started scope "
        "send waiting_for_100_continue"
    ),
    "FlowControl": "pause_reading read_paused resume_reading write_paused",
    "Server": "handle_exit main_loop on_tick serve server_state should_exit started",
    "ServerState": "connections default_headers total_requests",
    "UvicornWorker": "CONFIG_KWARGS _install_sigquit_handler _serve config sockets wsgi",
}
"""What is used here of uvicorn's and uvicorn-worker's classes, hardly any of it documented.

A test compares it with the code of this package and with both packages, which pyproject.toml pins
to a minor version.
"""
