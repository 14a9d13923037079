public import Files

/// A checkpoint holds NaN or infinity among the numbers of a model.
public struct NonFiniteTensorError: ClassifiedError, Equatable, CustomStringConvertible {
  public let path: String
  public let tensor: String
  /// The index of the first such number, row-major.
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

  /// Reads all numbers of a tensor in chunks; an integer tensor is skipped.
  ///
  /// - Throws: `NonFiniteTensorError` if one is NaN or infinite
  public func requireFinite(_ name: String) throws {
    let entry = try entry(name)
    guard let widen = entry.type.widening else { return }
    var numbers: [Float] = []
    try readPieces(entry) { piece, start in
      let count = piece.count * 8 / entry.type.bitCount
      if numbers.count < count { numbers = [Float](repeating: 0, count: count) }
      numbers.withUnsafeMutableBufferPointer { widen(piece, $0, 0) }
      if let position = numbers[..<count].firstIndex(where: { !$0.isFinite }) {
        throw nonFinite(name, start + position, isNaN: numbers[position].isNaN)
      }
    }
  }

  /// Returns an error for each tensor that is not finite or cannot be read.
  package func nonFinite() -> [any Error] {
    entries.compactMap { entry in
      do { try requireFinite(entry.name) } catch { return error }
      return nil
    }
  }

  /// The error that names the tensor as it is called in the file.
  package func nonFinite(
    _ name: String, _ position: Int, isNaN: Bool
  ) -> NonFiniteTensorError {
    NonFiniteTensorError(
      path: path, tensor: nameInFile(of: name), position: position, isNaN: isNaN)
  }
}
