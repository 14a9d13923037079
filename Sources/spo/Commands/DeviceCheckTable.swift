import CommandSyntax
import Devices
import Files
import Foundation
import PipelineCore
import StageSupport

/// `spo doctor --device-check`: compares every operation on this machine's devices with the host's
/// results.
struct DeviceCheckTable {
  private let devices: [String]
  private let precision: ProductPrecision?
  /// Only the operations after this one are compared.
  private let earlier: String?
  private let isJSON: Bool

  /// - Throws: ``DeviceError`` if there is nothing to check
  init(_ arguments: Arguments) throws {
    isJSON = arguments.has("json")
    precision = try ComputingDevice.precision(arguments).ofProducts
    earlier = arguments.value("after")
    // Of TF32 they are those of single precision.
    let known = DeviceCheck.operations(precision ?? .single)
    if let earlier, !known.contains(earlier) {
      throw arguments.error(
        "--after must be an operation of the comparison, but is \"\(earlier)\""
          + (nearest(to: earlier, in: known).map { "; did you mean \"\($0)\"?" } ?? ""))
    }
    if let operand = arguments.operands.first {
      throw arguments.error("unexpected \"\(operand)\"; --device-check takes no pipeline")
    }
    if let name = arguments.value("device") {
      guard case .device(let device)? = DeviceChoice(name) else {
        throw arguments.error(
          "--device must be cuda, opencl, or a device such as \"cuda:1\", but is \"\(name)\"")
      }
      devices = [try Devices.name(of: device, for: 0)]
    } else {
      let found = Devices.all
      devices = found.filter { $0.flaw == nil }.map(\.name)
      guard !devices.isEmpty else {
        let flaws = found.compactMap { device in device.flaw.map { "\(device.name): \($0)" } }
        throw DeviceError.notFound(
          "no device to check; "
            + (flaws.isEmpty ? Devices.installation : flaws.joined(separator: "; ")))
      }
    }
  }

  /// Runs the checks and saves the findings, which decide whether runs trust a device.
  ///
  /// - Throws: errors of ``DeviceCheck/requireRight(_:)``
  func run() throws {
    var results: [JSON] = []
    var failures: [any Error] = []
    for name in devices {
      let device: DeviceBackend
      do { device = try Devices.open(name, precision: precision) } catch {
        failures.append(error)
        continue
      }
      if !isJSON {
        try Console.print("\(device.name) \(device.description), products in \(device.precision)")
      }
      let check = DeviceCheck(device, after: earlier) { finding in
        if !isJSON { try? Console.print("  \(Self.line(finding))") }
      }
      CheckedDevices(folder: UserCacheFile.userFolder).keep(check, of: device)
      results.append(Self.json(device, check))
      do { try check.requireRight(device) } catch { failures.append(error) }
    }
    if isJSON { try Console.print(JSON.array(results).text(.pretty)) }
    if let failure = failures.first { throw failure }
  }

  private static func line(_ finding: DeviceCheck.Finding) -> String {
    if let failure = finding.failure { return "FAILED  \(finding.name): \(failure)" }
    let error = String(format: "%.1e of %.0e", finding.error, finding.tolerance)
    return "\(finding.isRight ? "right" : "WRONG")  \(error)  \(finding.name)"
  }

  private static func json(_ device: DeviceBackend, _ check: DeviceCheck) -> JSON {
    [
      "device": .string(device.name), "product": .string(device.description.product),
      "precision": .string(device.precision.rawValue),
      "operations": .array(
        check.findings.map { finding in
          [
            "name": .string(finding.name), "is_right": .bool(finding.isRight),
            // JSON has no infinity, which stands for incomparable results.
            "error": finding.error.isFinite ? .number(Double(finding.error)) : .null,
            "tolerance": .number(Double(finding.tolerance)),
            "failure": finding.failure.map { .string($0.description) } ?? .null,
          ]
        }),
      // Nil: the device was not lost.
      "not_compared": check.notComparedCount.map { .integer($0) } ?? .null,
    ]
  }
}
