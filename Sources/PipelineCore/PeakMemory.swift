@preconcurrency import Dispatch
import Glibc
import Synchronization

/// Watches how much memory the process takes while something runs.
///
/// The system knows the most since the process began, which is exact where it was reached meanwhile;
/// otherwise what a look every few milliseconds finds counts.
public final class PeakMemory: Sendable {
  private let timer: any DispatchSourceTimer
  private let largest = Mutex(0)
  private let peakBefore: Int

  /// Begins to watch.
  public init() {
    peakBefore = Self.ofProcess
    timer = DispatchSource.makeTimerSource()
    timer.schedule(deadline: .now(), repeating: .milliseconds(20))
    timer.setEventHandler { [weak self] in self?.look() }
    timer.resume()
  }

  deinit { timer.cancel() }

  /// The most resident bytes since the watch began.
  public var byteCount: Int {
    look()
    let peak = Self.ofProcess
    return peak > peakBefore ? peak : largest.withLock { $0 }
  }

  private func look() {
    let now = Self.now
    largest.withLock { $0 = max($0, now) }
  }

  /// The most resident bytes since the process began.
  public static var ofProcess: Int { status("VmHWM:") }

  /// Resident bytes at this moment.
  private static var now: Int { status("VmRSS:") }

  /// A size that the kernel keeps of the process; 0 if it does not tell.
  ///
  /// `getrusage` would count what the parent had before it became this program.
  private static func status(_ name: String) -> Int {
    let descriptor = open("/proc/self/status", O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return 0 }
    defer { close(descriptor) }
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = read(descriptor, &buffer, buffer.count)
    let lines = String(decoding: buffer.prefix(max(0, count)), as: UTF8.self).split(separator: "\n")
    let fields = lines.first { $0.hasPrefix(name) }?.split { $0 == " " || $0 == "\t" }
    guard let fields, fields.count > 1, let kilobytes = Int(fields[1]) else { return 0 }
    return kilobytes * 1024
  }
}
