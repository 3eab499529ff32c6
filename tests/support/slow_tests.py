"""What takes long, the longest first: those files begin a run, so that no worker ends it alone with one of them, and
what is named here is left out of the quick one (`pytest -m "not slow"`), but for one of a kind."""

# A file, or the beginning of a test's name behind it; below `tests/`.
SLOW = (
    "presets/test_bundled.py::test_export", "presets/test_bundled.py::test_file",
    "presets/test_bundled.py::test_arm", "presets/test_bundled.py::test_bench",
    "web/test_presets.py::test_the_page",
    "networks/test_networks.py::test_index_is_current", "networks/test_networks.py::test_published",
    "networks/test_networks.py::test_forward", "networks/test_networks.py::test_features",
    "networks/test_networks.py::test_image_that",
    "export/test_networks.py::test_float", "export/test_networks.py::test_int8", "export/test_networks.py::test_tosa",
    "export/test_presets.py::test_i", "export/test_presets.py::test_every_unit", "export/test_presets.py::test_tosa",
    "export/test_presets.py::test_vela",
    "cli/test_export.py::test_main_job", "cli/test_export.py::test_the_record", "cli/test_export.py::test_per_tensor",
    "cli/test_export.py::test_same_inputs", "cli/test_export.py::test_artifact", "cli/test_export.py::test_the_conv",
    "cli/test_export.py::test_precisions", "cli/test_export.py::test_named", "cli/test_export.py::test_a_trained",
    "cli/test_export.py::test_random", "cli/test_export.py::test_gates", "cli/test_export.py::test_full",
    "cli/test_export.py::test_a_folder", "cli/test_export.py::test_a_float_file",
    "export/test_chain.py::test_every_link", "export/test_chain.py::test_both", "export/quantize/test_proven.py",
    "export/test_toy_models.py", "export/quantize/test_prove.py", "export/quantize/test_names.py::test_",
    "export/test_never_worse_than_stock.py", "export/test_float_files.py::test_the_i",
    "export/test_float_files.py::test_the_p", "export/test_float_files.py::test_the_e",
    "export/test_float_files.py::test_bytes_become", "export/rebuild/test_round_trip.py::test_networks_drawn",
    "export/test_user_models.py",
    "compress/test_tfmot_bridge.py::test_is", "compress/test_tfmot_bridge.py::test_every",
    "compress/test_tfmot_bridge.py::test_another", "compress/test_tfmot_bridge.py::test_keras",
    "compress/test_tfmot_qat.py", "cli/test_prune.py", "cli/test_cluster.py", "cli/test_qat.py",
    "networks/test_golden.py::test_logits", "export/rewrites/test_random.py", "export/test_detectors.py",
    "networks/test_detectors.py::test_outputs", "networks/test_detectors.py::test_index",
    "networks/test_detectors.py::test_forward", "networks/test_detectors.py::test_one_kind",
    "networks/test_detectors.py::test_levels", "networks/test_detectors.py::test_refinedets",
    "networks/test_detectors.py::test_import",
    "export/quantize/test_graph.py::test_the_float_network", "export/quantize/test_equalize.py::test_every_family",
    "export/quantize/test_equalize.py::test_the_hard_case", "export/quantize/test_aware.py::test_gradients_reach",
    "export/quantize/test_aware.py::test_the_file", "export/quantize/test_aware.py::test_a_saved",
    "export/rewrites/test_freeze_shift.py::test_float_file", "export/rewrites/test_files.py",
    "export/rewrites/test_concatenation.py::test_ghostnet", "export/test_tune.py",
    "cli/test_export_detector.py::test_from",
    "cli/test_export_equalize.py", "cli/test_export_phone.py", "cli/test_export_refusals.py::test_a_kill",
    "cli/test_export_targets.py::test_edgetpu_compile", "cli/test_cli.py::test_train",
    "training/test_train.py::test_killed", "training/test_train.py::test_interrupted", "training/test_qat.py",
    "training/test_detection.py::test_eight", "training/test_detection.py::test_a_run",
    "presets/test_presets.py::test_bundled_preset", "weights/test_public.py::test_pretrained",
    "cost/test_cost.py::test_memory", "cli/test_info.py::test_latencies",
    "cli/test_calibrate.py::test_export_stops", "cli/test_calibrate.py::test_both_spoilt",
    "cli/test_calibrate.py::test_counts", "cli/test_calibrate.py::test_no_order",
    "cli/test_import_weights.py::test_from_a_reference", "export/quantize/test_mixed.py::test_a_drop_that",
    "export/quantize/test_mixed.py::test_biases_are", "export/targets/test_tosa.py::test_an_export",
    "export/quantize/test_ports.py::test_every_unit", "bench/test_collect.py::test_the_page",
    "reliability/test_environment.py::test_names", "reliability/test_fuzz.py::test_nothing",
    "bench/test_phone.py::test_bench",
    "web/test_page.py", "web/test_presets.py", "web/test_detector.py", "web/test_preprocess.py",
    "weights/test_torch_layout.py::test_every_layer", "cli/test_export_targets.py::test_a_user_s",
    "export/targets/test_checking_ethos_u.py::test_prediction",
    "export/targets/test_checking_edgetpu.py::test_versions",
    "export/rewrites/test_channel_shuffle.py::test_shufflenet_keeps",
    "export/rewrites/test_hard_swish.py::test_networks",
    "export/quantize/test_graph.py::test_it_is_the_users", "export/quantize/test_aware.py",
    "export/quantize/test_mixed.py::test_the_ruined", "export/quantize/test_mixed.py::test_a_target",
    "export/rebuild/test_round_trip.py::test_toys", "export/rebuild/test_operations.py",
    "networks/test_mobile.py", "networks/test_dense.py", "networks/test_shift.py",
    "networks/test_networks.py::test_small",
    "cost/test_cost.py::test_parts", "cost/test_cost.py::test_stages", "cost/test_cost.py::test_block_balance",
    "cli/test_cli.py::test_info_of", "cli/test_export.py", "cli/test_export_refusals.py::test_empty",
    "cli/test_calibrate.py::test_the_audit", "cli/test_import_weights.py::test_layouts", "cli/test_demo.py",
    "bench/test_phone.py", "bench/test_adb_device.py", "bench/test_browser.py", "bench/test_ssh.py",
    "bench/test_adb_app.py", "layers/test_shift.py::test_active_shift_learns",
    "layers/test_group_conv.py::test_equals_keras_where", "demo/test_android_demo.py", "bench/test_emulated.py",
)  # fmt: skip
# One of a kind that stays in the quick run.
QUICK = (
    "presets/test_bundled.py::test_export_by_the_family_s_name[mobilenet_v1]",
    "presets/test_bundled.py::test_file_is_int8_throughout_and_taken_whole[mobilenet_v1]",
    "web/test_page.py::test_any_image_any_network[2]",
    "weights/test_torch_layout.py::test_every_layer_has_a_place_of_its_own_in_every_layout[mobilenet_v1_025]",
    "networks/test_dense.py::test_vovnet_counts",
    "export/targets/test_checking_ethos_u.py::test_prediction_is_what_vela_does[hard_swish]",
    "cost/test_cost.py::test_parts_sum_up_to_the_counts[mobilenet_v1_025]",
    "networks/test_networks.py::test_index_is_current[mobilenet_v1_025]",
    "networks/test_networks.py::test_forward_backward_and_save[shiftresnet_20_e1]",
    "networks/test_golden.py::test_logits_are_the_references[timm_lcnet_050]",
    "networks/test_detectors.py::test_outputs_are_paddles[paddle_picodet_s_320_lcnet]",
    "export/quantize/test_names.py::test_are_the_same_every_time[gate-",
    "export/rewrites/test_random.py::test_equal_in_float[0]",
    "export/rebuild/test_round_trip.py::test_networks_drawn_at_random[0]",
    "export/test_float_files.py::test_bytes_become_an_image_of_plain_pixels[m.tflite]",
    "cli/test_export_targets.py::test_edgetpu_compiled_is_confirmed",
    "export/test_user_models.py::test_no_output_is_farther_than_the_stock_converter_s[prelu_channels]",
    "export/test_user_models.py::test_no_output_is_farther_than_the_stock_converter_s[activation_hard_swish]",
    "export/test_user_models.py::test_no_output_is_farther_than_the_stock_converter_s[volume]",
    "training/test_detection.py::test_eight_scenes_are_learnt[simota]",
)


def is_slow(name):
    """Whether a test is left out of the quick run; `name` as pytest has it, below `tests/`."""
    return name.startswith(SLOW) and not name.startswith(QUICK)


def place(name):
    """Where the test's file stands in a run, the least first."""
    file = name.partition("::")[0]
    return next((number for number, each in enumerate(SLOW) if each.partition("::")[0] == file), len(SLOW))
