from pathlib import Path

import pytest

from gdws_agent.errors import SettingsInvalid
from gdws_agent.power.jtop_client import SOCKET_VARIABLE
from gdws_agent.settings import Settings, default_data_dir, load_settings, option_name, variable_name


def test_defaults_listen_on_loopback_only():
    settings = load_settings({}, {"XDG_STATE_HOME": "/state"})

    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.data_dir == Path("/state/gdws-agent")
    assert settings.max_upload_bytes == settings.max_upload_mb * 1024 * 1024


def test_an_option_wins_over_its_variable_and_a_variable_over_the_default():
    environment = {"GDWS_AGENT_PORT": "81", "GDWS_AGENT_MAX_UPLOAD_MB": "7", "GDWS_AGENT_DATA_DIR": "/variable"}

    settings = load_settings({"port": "82", "host": None}, environment)

    assert settings == Settings(port=82, max_upload_mb=7, data_dir="/variable")


def test_an_empty_variable_counts_as_not_set():
    assert load_settings({}, {"GDWS_AGENT_PORT": ""}).port == 8000


@pytest.mark.parametrize(
    ("options", "environment", "named"),
    [
        ({"port": "99999"}, {}, "--port '99999'"),
        ({"port": "http"}, {}, "--port 'http'"),
        ({}, {"GDWS_AGENT_MAX_UPLOAD_MB": "0"}, "GDWS_AGENT_MAX_UPLOAD_MB '0'"),
        ({}, {"GDWS_AGENT_BUILD_TIMEOUT_S": "nan"}, "GDWS_AGENT_BUILD_TIMEOUT_S 'nan'"),
        ({"log_level": "loud"}, {}, "--log-level 'loud'"),
    ],
)
def test_a_wrong_value_is_refused_with_its_source(options, environment, named):
    with pytest.raises(SettingsInvalid) as caught:
        load_settings(options, environment)

    assert named in caught.value.message


def test_without_a_home_the_data_folder_must_be_given(monkeypatch):
    monkeypatch.setattr("os.path.expanduser", lambda path: path)

    with pytest.raises(SettingsInvalid) as caught:
        load_settings({}, {})

    assert "--data-dir" in (caught.value.hint or "")
    assert load_settings({"data_dir": "/here"}, {}).data_dir == Path("/here")


def test_a_relative_state_home_is_passed_over_as_the_convention_says():
    assert default_data_dir({"XDG_STATE_HOME": "here"}) == str(Path.home() / ".local/state/gdws-agent")


def test_names_follow_the_field():
    assert option_name("data_dir") == "--data-dir"
    assert variable_name("data_dir") == "GDWS_AGENT_DATA_DIR"


def test_a_simulated_board_and_its_socket():
    assert not load_settings({}, {}).simulated
    settings = load_settings({"simulated": "true"}, {"GDWS_AGENT_JTOP_SOCKET": "/host/run/jtop.sock"})
    assert settings.simulated
    assert settings.jtop_socket == Path("/host/run/jtop.sock")
    assert variable_name("jtop_socket") == SOCKET_VARIABLE
