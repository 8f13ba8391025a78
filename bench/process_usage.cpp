// SPDX-License-Identifier: MIT
#include "process_usage.hpp"

#include "failure.hpp"

#include <unistd.h>

#include <ctime>
#include <fstream>
#include <string>

namespace ws_load {

uint64_t cpu_ns(pid_t pid) {
    clockid_t clock = 0;
    timespec used{};
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &used) != 0)
        throw no_resources("process " + std::to_string(pid) + " is not there to be measured");
    return static_cast<uint64_t>(used.tv_sec) * 1000000000 + static_cast<uint64_t>(used.tv_nsec);
}

uint64_t machine_cpu_ns() {
    std::ifstream stat("/proc/stat");
    std::string name;
    stat >> name;
    uint64_t user = 0, nice = 0, system = 0, idle = 0, io = 0, irq = 0, softirq = 0, steal = 0;
    stat >> user >> nice >> system >> idle >> io >> irq >> softirq >> steal;
    return (user + nice + system + irq + softirq + steal) *
           (1000000000 / static_cast<uint64_t>(sysconf(_SC_CLK_TCK)));
}

Memory memory(pid_t pid) {
    std::ifstream status("/proc/" + std::to_string(pid) + "/status");
    Memory found;
    std::string name;
    while (status >> name) {
        if (name == "VmRSS:")
            status >> found.resident;
        else if (name == "VmHWM:")
            status >> found.peak;
        status.ignore(1024, '\n');
    }
    return found;
}

}  // namespace ws_load
