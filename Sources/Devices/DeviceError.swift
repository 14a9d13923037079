public import Files

/// Why a device cannot be used, or cannot continue.
public enum DeviceError: ClassifiedError, CustomStringConvertible, Equatable {
  /// The setting `device` names one that is not here; with what to do about it.
  case notFound(String)
  /// Of a tensor, or of what a driver needs by itself.
  case outOfMemory(byteCount: Int?, device: String)
  /// What the device's compiler said about kernels.
  case notCompiled(source: String, device: String, log: String)
  /// Kernels that were not compiled while the compiler was here whose code the others are.
  ///
  /// `made`: what the kept code is of, as records name it; `now`: what compiles now
  case notKept(source: String, device: String, made: String, now: String)
  /// A call of the driver failed.
  case failed(call: String, device: String, code: Int)
  /// An extent beyond what kernels count.
  case tooLarge(count: Int, device: String)

  public var kind: FailureKind {
    switch self {
    case .notFound, .notKept: .settings
    case .outOfMemory, .tooLarge: .space
    case .notCompiled, .failed: .other
    }
  }

  public var description: String {
    switch self {
    case .notFound(let text): text
    case .outOfMemory(let byteCount, let device):
      "no memory: \(device) "
        + (byteCount.map { "refused \(ByteCount.text($0)) for a tensor" } ?? "has none left")
        + "; close other programs that use it, use smaller batches or images, or device \"cpu\"; finished work is saved"
    case .notCompiled(let source, let device, let log):
      "\(device): its compiler refused the \(source) kernels: \(Self.oneLine(log)); update the driver or "
        + "the compiler, or use device \"cpu\""
    case .notKept(let source, let device, let made, let now):
      "\(device): this stage was started on \(made), whose machine code of the \(source) kernels was not kept, and this is "
        + "\(now); install the earlier compiler again, restart the stage with --force, or mix both with --set "
        + "may_change_device=true; finished work is saved"
    case .failed(let call, let device, let code):
      "\(device): \(call) failed with code \(code); the device may have been lost: start the same command "
        + "again, or use device \"cpu\"; finished work is saved"
    case .tooLarge(let count, let device):
      "\(device): \(count) values exceed what one device operation can index; use smaller "
        + "batches or images, or device \"cpu\""
    }
  }

  /// The first error of a compiler's log, or all of a short one.
  private static func oneLine(_ log: String) -> String {
    let lines = log.split(whereSeparator: \.isNewline).map {
      $0.trimmingPrefix(while: \.isWhitespace)
    }
    let line = lines.first { $0.contains("error") } ?? lines.first ?? "no reason given"
    return String(line.prefix(300))
  }
}
