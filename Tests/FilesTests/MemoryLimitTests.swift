import Files
import Foundation
import TestSupport
import Testing

@Suite struct MemoryLimitTests {
  /// Files by their paths below a root.
  private func limit(_ files: [String: String]) throws -> Int? {
    try withTemporaryFolder { root in
      for (path, text) in files {
        let url = URL(fileURLWithPath: root + path)
        try FileManager.default.createDirectory(
          at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: url)
      }
      return MemoryLimit.controlGroup(root: root)
    }
  }

  @Test("of the groups of version 2 on the way to the process the least counts")
  func version2() throws {
    let groups = "0::/user.slice/job.scope\n"
    #expect(try limit(["/proc/self/cgroup": groups]) == nil)
    #expect(
      try limit([
        "/proc/self/cgroup": groups,
        "/sys/fs/cgroup/user.slice/job.scope/memory.max": "max\n",
        "/sys/fs/cgroup/user.slice/memory.max": "2147483648\n",
        "/sys/fs/cgroup/memory.max": "4294967296\n",
      ]) == 2_147_483_648)
  }

  @Test("groups of version 1 are found, also where a container sees only the mount")
  func version1() throws {
    let groups = "12:cpu,cpuacct:/a\n4:memory:/docker/0123\n0::/\n"
    #expect(
      try limit([
        "/proc/self/cgroup": groups,
        "/sys/fs/cgroup/memory/memory.limit_in_bytes": "536870912\n",
      ]) == 536_870_912)
    #expect(
      try limit([
        "/proc/self/cgroup": groups,
        "/sys/fs/cgroup/memory/docker/0123/memory.limit_in_bytes": "1073741824\n",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
      ]) == 1_073_741_824)
  }

  @Test("here there is some memory, and no more than the machine's")
  func current() {
    #expect(MemoryLimit.current.byteCount > 0)
    #expect(MemoryLimit.current.byteCount <= MemoryLimit.machine)
  }
}
