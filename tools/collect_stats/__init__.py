"""ComfyUI imports this folder, where it is linked into `custom_nodes`, as a package of nodes."""

from .halftone_stats.comfyui_node import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]
