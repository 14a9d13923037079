import Glibc

/// The memory available to this process: the machine's, or less if a control group or the shell
/// (`ulimit`) limits it.
public struct MemoryLimit: Equatable, Sendable {
  public enum Source: String, Sendable {
    case machine = "the machine's memory"
    case controlGroup = "a control group"
    case addressSpace = "ulimit -v"
    case data = "ulimit -d"
  }

  public let byteCount: Int
  /// The source of the limit.
  public let source: Source

  package init(byteCount: Int, source: Source) {
    self.byteCount = byteCount
    self.source = source
  }

  /// The limit on memory in use; the shell's limits also count reserved memory, which is subtracted
  /// here.
  public static var current: MemoryLimit {
    var limits = [MemoryLimit(byteCount: machine, source: .machine)]
    if let byteCount = controlGroup() {
      limits.append(MemoryLimit(byteCount: byteCount, source: .controlGroup))
    }
    for source in [Source.addressSpace, .data] {
      guard let byteCount = shellLimit(source) else { continue }
      limits.append(MemoryLimit(byteCount: max(0, byteCount - setAside(source)), source: source))
    }
    return limits.min { $0.byteCount < $1.byteCount }
      ?? MemoryLimit(byteCount: machine, source: .machine)
  }

  /// Whether the shell limits reserved memory, so that any allocation can fail.
  public static var isShellLimited: Bool {
    shellLimit(.addressSpace) != nil || shellLimit(.data) != nil
  }

  /// The machine's memory, in bytes.
  public static var machine: Int {
    sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE))
  }

  /// A suffix such as `, limited by ulimit -v`; empty for the machine's own.
  public var note: String { source == .machine ? "" : ", limited by \(source.rawValue)" }

  /// Returns advice for obtaining `byteCount` bytes, such as `raise the limit (ulimit -v 1200000 is
  /// enough)`.
  public func remedy(for byteCount: Int) -> String {
    switch source {
    case .machine: return "use a machine with more memory"
    case .controlGroup: return "raise the limit of the control group"
    case .addressSpace, .data:
      // In KiB, as in the shell. What a run will map is unknown in advance: a tenth more.
      let kibibytes = (byteCount + Self.setAside(source)) / 10 * 11 / 1024
      let enough = (kibibytes + 99_999) / 100_000 * 100_000
      return "raise the limit (\(source.rawValue) \(enough) is enough)"
    }
  }
}

// MARK: - Limits of the shell

extension MemoryLimit {
  /// Nil if there is none.
  private static func shellLimit(_ source: Source) -> Int? {
    let resource = __rlimit_resource_t(
      source == .data ? RLIMIT_DATA.rawValue : RLIMIT_AS.rawValue)
    var limits = rlimit()
    // The largest number means no limit.
    guard getrlimit(resource, &limits) == 0, let byteCount = Int(exactly: limits.rlim_cur),
      byteCount < Int.max
    else { return nil }
    return byteCount
  }

  /// Returns bytes that count towards a limit without being used: what is already mapped, and per
  /// processor 128 MiB for OpenBLAS's copies of factors, 64 MiB for malloc and 8 MiB for a stack.
  private static func setAside(_ source: Source) -> Int {
    let fields = smallText("/proc/self/statm").split(separator: " ").compactMap { Int($0) }
    let mapped =
      fields.count > 5
      ? (source == .data ? fields[5] : fields[0]) - fields[1] : 0
    let processors = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
    return max(0, mapped) * sysconf(Int32(_SC_PAGESIZE)) + processors * (200 << 20)
  }
}

// MARK: - Control groups

extension MemoryLimit {
  /// Returns the lowest limit of this process's control groups and their parents, of either
  /// version; nil if there is none.
  ///
  /// - Parameter root: the parent of `/proc` and `/sys`, for tests
  package static func controlGroup(root: String = "") -> Int? {
    var limits: [Int] = []
    for line in smallText("\(root)/proc/self/cgroup").split(separator: "\n") {
      // `NUMBER:CONTROLLERS:PATH`; version 2 has the number 0 and no controllers.
      let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard fields.count == 3 else { continue }
      if fields[1].isEmpty {
        for mount in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"] {
          limits += values(of: "memory.max", below: root + mount, fields[2])
        }
      } else if fields[1].split(separator: ",").contains("memory") {
        limits += values(
          of: "memory.limit_in_bytes", below: "\(root)/sys/fs/cgroup/memory", fields[2])
      }
    }
    return limits.min()
  }

  /// Returns the numbers in a file of the folder `path` below a mount, and of its parents.
  ///
  /// A container may see the host's path and find only the mount itself.
  private static func values(
    of file: String, below mount: String, _ path: Substring
  ) -> [Int] {
    var parts = path.split(separator: "/")[...]
    var values: [Int] = []
    while true {
      let folder = parts.isEmpty ? mount : "\(mount)/\(parts.joined(separator: "/"))"
      // Without a limit, version 2 says `max` and version 1 a number near 2^63.
      let text = smallText("\(folder)/\(file)").prefix { $0 != "\n" }
      if let value = Int(text), value < 1 << 60 { values.append(value) }
      guard parts.popLast() != nil else { return values }
    }
  }

  /// Reads a kernel file, whose size is unknown in advance; empty if it does not exist.
  private static func smallText(_ path: String) -> String {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return "" }
    defer { close(descriptor) }
    var buffer = [UInt8](repeating: 0, count: 1 << 14)
    let count = read(descriptor, &buffer, buffer.count)
    return String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
  }
}
