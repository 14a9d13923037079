import Files
import Foundation

/// A processor of its own with memory of its own, on which kernels run one after another.
///
/// It has one queue: what is asked for is done in that order, so that memory may be used again by what is
/// asked for later. Not safe to use from several threads at a time; ``DeviceBackend`` sees to that.
package protocol Device: AnyObject, Sendable {
  /// As the setting `device` names it, such as `opencl:0`.
  var name: String { get }
  var description: DeviceDescription { get }
  /// Whether it has instructions for products of TF32.
  var hasTensorCores: Bool { get }

  /// - Throws: ``DeviceError/outOfMemory(byteCount:device:)``
  func allocate(byteCount: Int) throws(DeviceError) -> DeviceBuffer
  func release(_ buffer: DeviceBuffer)

  /// Copies bytes to the device; they may be changed as soon as this returns.
  func upload(
    _ source: UnsafeRawPointer, byteCount: Int, to target: DeviceBuffer, at byteOffset: Int
  ) throws(DeviceError)

  /// Waits for all that was asked for, and copies bytes from the device.
  func download(
    _ source: DeviceBuffer, at byteOffset: Int, byteCount: Int,
    to target: UnsafeMutableRawPointer
  ) throws(DeviceError)

  /// - Parameter definitions: such as `PART=4`
  func compile(_ source: KernelSource, definitions: [String]) throws(DeviceError) -> DeviceProgram
  func kernel(_ name: String, of program: DeviceProgram) throws(DeviceError) -> DeviceKernel

  /// Asks for `groups` work groups of ``KernelSource/groupSize`` work items.
  func launch(
    _ kernel: DeviceKernel, groups: (x: Int, y: Int), _ arguments: [KernelArgument]
  ) throws(DeviceError)

  /// Waits for all that was asked for.
  func finish() throws(DeviceError)
}

/// A device whose compiler makes machine code that is the same under any driver: kept, it computes the same bits
/// whatever is installed later.
package protocol CodeDevice: Device {
  func machineCode(
    _ source: KernelSource, definitions: [String]
  ) throws(DeviceError) -> [UInt8]

  /// Whether code that was read from a file may be loaded: it is what it should be to its end.
  func isWhole(_ code: [UInt8]) -> Bool

  func load(_ code: [UInt8], of source: KernelSource) throws(DeviceError) -> DeviceProgram
}

extension CodeDevice {
  package func compile(
    _ source: KernelSource, definitions: [String]
  ) throws(DeviceError) -> DeviceProgram {
    try load(machineCode(source, definitions: definitions), of: source)
  }
}

/// What `spo doctor` says about a device.
public struct DeviceDescription: Sendable, CustomStringConvertible {
  /// The product's name.
  public let product: String
  public let driver: String
  /// What compiles kernels for it.
  public let compiler: String
  public let byteCount: Int
  /// Whether it is a processor that also runs this program.
  public let isProcessor: Bool
  /// Floating-point operations of single precision a second at most; nil if the driver does not tell.
  public let peakRate: Double?
  /// The same of TF32 on tensor cores.
  public let tensorPeakRate: Double?

  package init(
    product: String, driver: String, compiler: String, byteCount: Int, isProcessor: Bool,
    peakRate: Double?, tensorPeakRate: Double? = nil
  ) {
    self.product = product
    self.driver = driver
    self.compiler = compiler
    self.byteCount = byteCount
    self.isProcessor = isProcessor
    self.peakRate = peakRate
    self.tensorPeakRate = tensorPeakRate
  }

  /// The same with a compiler that is told from others of its version.
  func compiled(by digest: String) -> DeviceDescription {
    DeviceDescription(
      product: product, driver: driver, compiler: "\(compiler), file \(digest)",
      byteCount: byteCount, isProcessor: isProcessor, peakRate: peakRate,
      tensorPeakRate: tensorPeakRate)
  }

  public var description: String {
    let peak =
      (peakRate.map { String(format: ", %.1f TFLOP/s in single precision", $0 / 1e12) } ?? "")
      + (tensorPeakRate.map { String(format: ", %.1f in TF32", $0 / 1e12) } ?? "")
    return "\(product), \(ByteCount.text(byteCount))\(peak), driver \(driver), compiler \(compiler)"
      + (isProcessor ? ", a CPU: used only if requested" : "")
  }
}

/// Memory of a device, in the driver's terms.
package struct DeviceBuffer: Sendable {
  package let handle: UInt
  package let byteCount: Int

  package init(handle: UInt, byteCount: Int) {
    self.handle = handle
    self.byteCount = byteCount
  }
}

package struct DeviceProgram: Sendable {
  package let handle: UInt

  package init(handle: UInt) { self.handle = handle }
}

package struct DeviceKernel: Sendable {
  package let handle: UInt

  package init(handle: UInt) { self.handle = handle }
}

/// One argument of a kernel; memory takes two parameters, see ``KernelSource``.
package enum KernelArgument {
  /// `offset` counts elements.
  case memory(DeviceBuffer, offset: Int)
  case word(UInt32)
  case float(Float)

  /// A number that is not negative, for parameters of type `int` and `uint`.
  static func extent(_ value: Int) -> KernelArgument { .word(UInt32(clamping: value)) }
  static func flag(_ value: Bool) -> KernelArgument { .word(value ? 1 : 0) }
}
