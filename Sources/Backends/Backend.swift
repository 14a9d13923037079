/// What computes: it owns memory and performs operations on it.
///
/// Operations are performed in the order in which they are asked for, each as if at once. All operands of
/// one lie with the same backend; one that lies elsewhere is a programmer's error.
public protocol Backend: AnyObject, Sendable {
  /// For messages: the value of the setting `device` that chooses it, or `plan`, which none does.
  var name: String { get }

  /// In which format activations lie while a model computes.
  var activationFormat: NumberFormat { get }

  /// Memory whose contents are undefined.
  func allocate(count: Int, format: NumberFormat) -> AnyObject

  func perform(_ operation: Operation)

  /// Waits until all that was asked for is done.
  func finish()

  /// Has `body` write `count` numbers, in single precision; they are stored as the target stores them.
  ///
  /// A backend that computes nothing does not call it.
  func write<Failure: Error>(
    _ target: Operand, count: Int,
    _ body: (UnsafeMutableBufferPointer<Float>) throws(Failure) -> Void
  ) throws(Failure)

  /// The same for numbers of half precision as they are stored.
  func writeHalf<Failure: Error>(
    _ target: Operand, count: Int,
    _ body: (UnsafeMutableBufferPointer<UInt16>) throws(Failure) -> Void
  ) throws(Failure)

  /// Shows `body` what `count` numbers are now, in single precision.
  func read<Result, Failure: Error>(
    _ source: Operand, count: Int,
    _ body: (UnsafeBufferPointer<Float>) throws(Failure) -> Result
  ) throws(Failure) -> Result

  /// The first of `count` numbers that is infinite or not a number.
  func firstNonFinite(_ source: Operand, count: Int) -> Int?

  /// Whether none of all these numbers is infinite or not a number.
  func areFinite(_ arrays: [(values: Operand, count: Int)]) -> Bool

  /// The largest magnitude of `count` numbers; NaN is ignored.
  func largestMagnitude(_ source: Operand, count: Int) -> Float

  /// The sum of the squares of `count` numbers, added in double precision.
  func squareSum(_ source: Operand, count: Int) -> Double
}

extension Backend {
  public func finish() {}

  public func areFinite(_ arrays: [(values: Operand, count: Int)]) -> Bool {
    arrays.allSatisfy { firstNonFinite($0.values, count: $0.count) == nil }
  }
}

/// Where new tensors lie.
public enum CurrentBackend {
  @TaskLocal public static var value: any Backend = HostBackend.shared
}

/// Runs `body` so that tensors made from Swift's arrays, and weights read from files, lie with `backend`.
public func withBackend<Result>(
  _ backend: any Backend, _ body: () throws -> Result
) rethrows -> Result {
  try CurrentBackend.$value.withValue(backend, operation: body)
}
