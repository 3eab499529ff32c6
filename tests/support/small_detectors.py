"""The smallest network of each builder of detectors, in a form of which a test can train a step."""

SMALL_DETECTORS = {
    "pico_det_pp_lcnet_050": {"backbone": "pp_lcnet_025", "channels": 16, "convolutions": 1},
    "pico_det_v2_pp_lcnet_035": {"channels": 16, "convolutions": 1},
    "ssdlite_vargnet_v1_025_g8": {"extras": (32, 16)},
    "refinedet_vovnet_39": {"backbone_options": {"stages": [(8, 16, 1), (8, 16, 1), (8, 16, 1), (8, 16, 1)]}},
}
