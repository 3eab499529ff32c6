/*
 * A plugin of QEMU's user-mode emulation that counts the instructions a program executes between two marks.
 *
 * A mark is the system call prctl(MARK, PHASE, ...), which the kernel refuses and nothing else makes: PHASE 0 begins,
 * PHASE 1 ends and writes one line, the number of instructions of all threads since, to the file in argument out=PATH.
 *
 * Needs QEMU 9 or newer (plugin interface 2 to 4) that was built with plugins.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <qemu-plugin.h>

#define MARK 0x54464546 /* "TFEF" */
#define PRCTL 167       /* aarch64 */

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

static qemu_plugin_u64 executed;
static uint64_t begun;
static FILE *out;

static void block(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    (void)id;
    /* One by one, not by block: a signal or a fault may leave a block in its middle. */
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
        qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(
            qemu_plugin_tb_get_insn(tb, i), QEMU_PLUGIN_INLINE_ADD_U64, executed, 1);
    }
}

static void system_call(qemu_plugin_id_t id, unsigned int cpu, int64_t number, uint64_t a1, uint64_t a2, uint64_t a3,
                        uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8)
{
    (void)id, (void)cpu, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
    if (number != PRCTL || (uint32_t)a1 != MARK) {
        return;
    }
    if (a2 == 0) {
        begun = qemu_plugin_u64_sum(executed);
    } else {
        fprintf(out, "%" PRIu64 "\n", qemu_plugin_u64_sum(executed) - begun);
        fflush(out);
    }
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv)
{
    (void)info;
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "out=", 4) == 0) {
            out = fopen(argv[i] + 4, "a");
        }
    }
    if (!out) {
        fprintf(stderr, "count_instructions: give out=PATH, a file that can be written\n");
        return 1;
    }
    executed = qemu_plugin_scoreboard_u64(qemu_plugin_scoreboard_new(sizeof(uint64_t)));
    qemu_plugin_register_vcpu_tb_trans_cb(id, block);
    qemu_plugin_register_vcpu_syscall_cb(id, system_call);
    return 0;
}
