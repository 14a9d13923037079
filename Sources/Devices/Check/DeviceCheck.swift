import Backends
public import Files

/// Whether a device computes what the host computes: every operation, on small arrays.
public struct DeviceCheck: Sendable {
  /// What one operation gave.
  public struct Finding: Sendable {
    public let name: String
    /// The largest difference from the host, as a part of the host's largest number; infinite where a
    /// number is not finite or something beside the results was written.
    public let error: Float
    public let tolerance: Float
    /// Why there are no results; nil if there are.
    public let failure: DeviceError?

    public var isRight: Bool { failure == nil && error <= tolerance }

    /// Whether it cannot be performed, and is not wrong: kernels whose machine code was not kept.
    var isRefused: Bool { if case .notKept = failure { true } else { false } }
  }

  public let findings: [Finding]
  /// How many operations were not compared, as the last one that was lost the device; nil: it did not.
  public let notComparedCount: Int?

  /// The names of all operations, in the order in which they are compared.
  public static func operations(_ precision: ProductPrecision) -> [String] {
    OperationCase.all(precision).map(\.name)
  }

  /// Performs every operation, twice on the device, which has to give the same bits, until one loses the device.
  ///
  /// - Parameter earlier: begins after the operation of this name
  public init(
    _ device: DeviceBackend, after earlier: String? = nil, _ report: (Finding) -> Void = { _ in }
  ) {
    var operations = OperationCase.all(device.precision)[...]
    if let earlier { operations = operations.drop { $0.name != earlier }.dropFirst() }
    var findings: [Finding] = []
    var isLost = false
    while !isLost, let operation = operations.popFirst() {
      let (error, failure) = device.noting { Self.error(of: operation, on: device) }
      findings.append(
        Finding(
          name: operation.name, error: failure == nil ? error : .infinity,
          tolerance: operation.tolerance(device.precision), failure: failure))
      report(findings[findings.count - 1])
      isLost = failure != nil && Self.isLost(device)
    }
    self.findings = findings
    notComparedCount = isLost ? operations.count : nil
    if findings.allSatisfy({ $0.failure == nil || $0.isRefused }) { device.releaseFreeMemory() }
  }

  /// What was found earlier, by operation.
  ///
  /// - Returns: nil if it is not about the operations of today
  init?(errors: [(name: String, error: Float)], precision: ProductPrecision) {
    let operations = OperationCase.all(precision)
    guard errors.map(\.name) == operations.map(\.name) else { return nil }
    notComparedCount = nil
    findings = zip(operations, errors).map { operation, found in
      Finding(
        name: operation.name, error: found.error, tolerance: operation.tolerance(precision),
        failure: nil)
    }
  }

  /// Whether a device does nothing any more: CUDA answers every call after a kernel that crashed with its error.
  private static func isLost(_ device: DeviceBackend) -> Bool {
    let (_, error) = device.noting {
      let workspace = CaseWorkspace(device, .single)
      return workspace.values(Written(operand: workspace.numbers(1), count: 1))
    }
    return if case .failed = error { true } else { false }
  }

  private static func error(of operation: OperationCase, on device: DeviceBackend) -> Float {
    func values(_ backend: any Backend) -> [[Float]] {
      let workspace = CaseWorkspace(backend, operation.format)
      return operation.run(workspace).map { workspace.values($0) }
    }
    let found = values(device)
    // Sums have a fixed order.
    guard found == values(device) else { return .infinity }
    var error: Float = 0
    for (array, expected) in zip(found, values(HostBackend.shared)) {
      // What was not written stands at the ends, in both.
      let results = CaseWorkspace.margin..<expected.count - CaseWorkspace.margin
      let largest = expected[results].reduce(0) { max($0, abs($1)) }
      for index in expected.indices {
        let difference = abs(array[index] - expected[index])
        guard difference.isFinite, results.contains(index) || difference == 0 else {
          return .infinity
        }
        error = max(error, difference / max(largest, .leastNormalMagnitude))
      }
    }
    return error
  }

  /// The device computes something else than the host.
  public struct Failure: ClassifiedError, CustomStringConvertible {
    public let device: String
    public let findings: [Finding]

    public var kind: FailureKind { .other }

    public var description: String {
      "\(device) gives wrong results in \(findings.count) of its operations, such as \(findings[0].name); update "
        + "its driver, or use device \"cpu\"; `spo doctor --device-check` repeats the comparison"
    }
  }

  /// The device computes nothing any more since one operation.
  public struct Loss: ClassifiedError, CustomStringConvertible {
    public let device: String
    public let operation: String
    public let notComparedCount: Int

    public var kind: FailureKind { .other }

    public var description: String {
      "\(device): the device was lost in \(operation); \(notComparedCount) operation"
        + "\(notComparedCount == 1 ? " was" : "s were") not compared; update its "
        + "driver, or use device \"cpu\"; `spo doctor --device-check --after \"\(operation)\"` compares the others"
    }
  }

  /// - Throws: ``Failure`` if an operation was wrong, ``Loss`` if the device was lost in one, ``DeviceError`` if one
  ///   could not be performed
  public func requireRight(_ device: DeviceBackend) throws {
    if let notComparedCount, let last = findings.last {
      throw Loss(
        device: device.name, operation: last.name, notComparedCount: notComparedCount)
    }
    // What a stage cannot perform either, cannot be wrong in it.
    let findings = findings.filter { !$0.isRefused }
    if let failure = findings.lazy.compactMap(\.failure).first { throw failure }
    let wrong = findings.filter { !$0.isRight }
    guard wrong.isEmpty else { throw Failure(device: device.name, findings: wrong) }
  }
}
