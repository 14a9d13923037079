public import Files

/// A checkpoint holds NaN or infinity among the numbers of a model.
public struct NonFiniteTensorError: ClassifiedError, Equatable, CustomStringConvertible {
  public let path: String
  public let tensor: String
  /// Of the first such number, row-major.
  public let position: Int
  public let isNaN: Bool

  public init(path: String, tensor: String, position: Int, isNaN: Bool) {
    self.path = path
    self.tensor = tensor
    self.position = position
    self.isNaN = isNaN
  }

  public var kind: FailureKind { .notFinite }

  public var description: String {
    "\(path): tensor \(tensor) contains \(isNaN ? "NaN" : "infinity") (element \(position)); the "
      + "training that wrote it diverged, or the file is damaged: use an earlier checkpoint"
  }
}

extension CheckpointSource {
  /// The elements of a tensor as ``floats(_:)`` reads them, all of them finite.
  ///
  /// - Throws: `NonFiniteTensorError` if one is NaN or infinite
  public func finiteFloats(_ name: String) throws -> [Float] {
    let numbers = try floats(name)
    if let position = numbers.firstIndex(where: { !$0.isFinite }) {
      throw nonFinite(name, position, isNaN: numbers[position].isNaN)
    }
    return numbers
  }

  /// The error that names the tensor as it is called in the file.
  package func nonFinite(
    _ name: String, _ position: Int, isNaN: Bool
  ) -> NonFiniteTensorError {
    NonFiniteTensorError(
      path: path, tensor: nameInFile(of: name), position: position, isNaN: isNaN)
  }
}
