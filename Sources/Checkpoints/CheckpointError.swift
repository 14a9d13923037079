public import Files

/// A problem with a checkpoint file, or with a request to it.
public enum CheckpointError: ClassifiedError, Equatable, CustomStringConvertible {
  /// The file breaks a rule of its format.
  case malformed(path: String, problem: String)
  /// One tensor of the file breaks a rule of the format.
  case malformedTensor(path: String, tensor: String, problem: String)
  /// The checkpoint has no tensor of this name.
  case missingTensor(path: String, tensor: String)
  /// A tensor's elements cannot be read or written as the caller wants.
  case unsuitable(path: String, tensor: String, type: ElementType, wanted: String)
  /// A tensor to be written does not have the size that its entry says.
  case wrongSize(path: String, tensor: String, expected: Int, found: Int)

  public var kind: FailureKind { .input }

  public var description: String {
    switch self {
    case .malformed(let path, let problem): "\(path): \(problem)"
    case .malformedTensor(let path, let tensor, let problem):
      "\(path): tensor \(tensor): \(problem)"
    case .missingTensor(let path, let tensor): "\(path): there is no tensor \(tensor)"
    case .unsuitable(let path, let tensor, let type, let wanted):
      "\(path): tensor \(tensor) has elements of type \(type.rawValue), expected \(wanted)"
    case .wrongSize(let path, let tensor, let expected, let found):
      "\(path): tensor \(tensor) must have \(expected) elements or bytes, but \(found) were given"
    }
  }
}
