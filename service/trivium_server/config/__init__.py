"""Settings of the server: one frozen tree, read and checked once at start."""

from trivium_server.config.as_toml import as_toml, toml_value
from trivium_server.config.listen import ListenAddress
from trivium_server.config.load import FLAGS, ConfigError, Setting, load_config, settings
from trivium_server.config.tree import (
    Config,
    DrainConfig,
    EncodingConfig,
    GenerationConfig,
    ImagesConfig,
    LimitsConfig,
    LogConfig,
    ModelsConfig,
    RuntimeConfig,
    ServerConfig,
    SpeechConfig,
)

__all__ = [
    "FLAGS",
    "Config",
    "ConfigError",
    "DrainConfig",
    "EncodingConfig",
    "GenerationConfig",
    "ImagesConfig",
    "LimitsConfig",
    "ListenAddress",
    "LogConfig",
    "ModelsConfig",
    "RuntimeConfig",
    "ServerConfig",
    "Setting",
    "SpeechConfig",
    "as_toml",
    "load_config",
    "settings",
    "toml_value",
]
