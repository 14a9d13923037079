public import Files

/// Why an image cannot be decoded or encoded.
public enum ImageError: ClassifiedError, Equatable, CustomStringConvertible {
  /// Neither JPEG nor PNG nor WebP; describes what the bytes look like instead.
  case unrecognized(String)
  /// A valid file of an unsupported kind, which the reason names.
  case unsupported(ImageFormat, String)
  /// The image is larger than the limit allows.
  case tooLarge(width: Int, height: Int, pixelLimit: Int)
  /// The file ends before the image does.
  case truncated(ImageFormat, String)
  /// The file contradicts its format.
  case damaged(ImageFormat, String)
  /// The encoder could not make the file.
  case notEncoded(ImageFormat, String)

  public var kind: FailureKind {
    switch self {
    case .notEncoded: .other
    default: .input
    }
  }

  public var description: String {
    switch self {
    case .unrecognized(let found): "not a JPEG, PNG or WebP image: \(found)"
    case .unsupported(let format, let what): "\(format): \(what) is not supported"
    case .tooLarge(let width, let height, let limit):
      "\(width) x \(height) pixels exceed the limit of \(limit)"
    case .truncated(let format, let place): "\(format): truncated: \(place)"
    case .damaged(let format, let reason): "\(format): damaged: \(reason)"
    case .notEncoded(let format, let reason): "\(format): cannot encode: \(reason)"
    }
  }
}
