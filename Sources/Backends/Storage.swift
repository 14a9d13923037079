public import HostResources

/// How numbers lie in memory.
public enum NumberFormat: Hashable, Sendable {
  case single
  case half(HalfFormat)

  public var byteCount: Int {
    switch self {
    case .single: MemoryLayout<Float>.stride
    case .half: MemoryLayout<UInt16>.stride
    }
  }
}

/// Memory for numbers of one format, which lies with one backend and goes back to it with the last
/// reference.
///
/// The contents are undefined until an operation or ``Backend/write(_:count:_:)`` wrote them.
public final class Storage {
  public let count: Int
  public let format: NumberFormat
  public let backend: any Backend
  /// What the backend made of the request; its own type.
  package let memory: AnyObject

  public init(count: Int, format: NumberFormat = .single, on backend: any Backend) {
    self.count = count
    self.format = format
    self.backend = backend
    memory = backend.allocate(count: count, format: format)
  }
}

/// The place from which an operation reads or to which it writes: a storage, and the elements before it.
public struct Operand {
  public let storage: Storage
  public let offset: Int

  public init(_ storage: Storage, offset: Int = 0) {
    self.storage = storage
    self.offset = offset
  }

  /// The place `count` elements further on.
  public static func + (operand: Operand, count: Int) -> Operand {
    Operand(operand.storage, offset: operand.offset + count)
  }
}
