@preconcurrency import Dispatch
import Glibc
import Synchronization

/// Measures the peak memory of the process while something runs.
///
/// The kernel records the peak since the process began, which is exact if it was reached in the
/// meantime; otherwise the process is sampled every few milliseconds.
public final class PeakMemory: Sendable {
  private let timer: any DispatchSourceTimer
  private let largest = Mutex(0)
  private let peakBefore: Int

  /// Starts measuring.
  public init() {
    peakBefore = Self.ofProcess
    timer = DispatchSource.makeTimerSource()
    timer.schedule(deadline: .now(), repeating: .milliseconds(20))
    timer.setEventHandler { [weak self] in self?.look() }
    timer.resume()
  }

  deinit { timer.cancel() }

  /// The peak resident bytes since measuring began.
  public var byteCount: Int {
    look()
    let peak = Self.ofProcess
    return peak > peakBefore ? peak : largest.withLock { $0 }
  }

  private func look() {
    let now = Self.now
    largest.withLock { $0 = max($0, now) }
  }

  /// The peak resident bytes since the process began.
  public static var ofProcess: Int { status("VmHWM:") }

  /// The current resident bytes.
  private static var now: Int { status("VmRSS:") }

  /// Returns a size that the kernel keeps for the process; 0 if unavailable.
  ///
  /// `getrusage` would include what the parent had before it exec'ed this program.
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
