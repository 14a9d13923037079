public import Autograd

/// The conditioning of a U-Net, one row per image.
public struct Conditioning {
  /// Hidden states of the prompts, `[batch, tokens, width]`.
  public var hiddenStates: Tensor
  /// The additional conditioning of SDXL; nil for other models.
  public var textTime: TextTime?

  public init(_ hiddenStates: Tensor, textTime: TextTime? = nil) {
    self.hiddenStates = hiddenStates
    self.textTime = textTime
  }

  /// SDXL's conditioning besides the hidden states of the prompt.
  public struct TextTime {
    /// The pooled output of the second text encoder, `[batch, width]`.
    public var pooledText: Tensor
    /// For each image its original height and width, top and left of the crop, target height and
    /// width.
    public var sizes: [[Float]]

    public init(pooledText: Tensor, sizes: [[Float]]) {
      self.pooledText = pooledText
      self.sizes = sizes
    }
  }

  /// Creates a conditioning with the same sizes for all rows; without pooled text there are no
  /// sizes.
  public init(_ hiddenStates: Tensor, pooledText: Tensor?, sizes: [Float]) {
    let batch = hiddenStates.shape[0]
    self.init(
      hiddenStates,
      textTime: pooledText.map {
        TextTime(pooledText: $0, sizes: [[Float]](repeating: sizes, count: batch))
      })
  }

  /// The number of size values per image.
  public static let sizeCount = 6

  /// The sizes of an image that was neither enlarged nor cropped.
  public static func sizes(ofWholePicture height: Int, _ width: Int) -> [Float] {
    [Float(height), Float(width), 0, 0, Float(height), Float(width)]
  }

  /// Returns the rows at `indices`, in that order, possibly with repetitions.
  public func rows(at indices: [Int]) -> Conditioning {
    Conditioning(
      hiddenStates.rows(at: indices),
      textTime: textTime.map { textTime in
        TextTime(
          pooledText: textTime.pooledText.rows(at: indices),
          sizes: indices.map { textTime.sizes[$0] })
      })
  }

  /// Returns all rows repeated `times` times.
  public func repeated(_ times: Int) -> Conditioning {
    times == 1 ? self : concatenated([Conditioning](repeating: self, count: times))
  }

  /// The tensors that models compute with.
  package var tensors: [Tensor] { [hiddenStates] + (textTime.map { [$0.pooledText] } ?? []) }

  /// Returns the same with other values of ``tensors``.
  package func with(_ tensors: ArraySlice<Tensor>) -> Conditioning {
    precondition(tensors.count == self.tensors.count, "the tensors of another conditioning")
    return Conditioning(
      tensors[tensors.startIndex],
      textTime: textTime.map {
        TextTime(pooledText: tensors[tensors.startIndex + 1], sizes: $0.sizes)
      })
  }
}

/// Concatenates the rows of several conditionings of one model.
public func concatenated(_ parts: [Conditioning]) -> Conditioning {
  let textTimes = parts.compactMap(\.textTime)
  precondition(
    textTimes.isEmpty || textTimes.count == parts.count, "conditionings of different models")
  return Conditioning(
    concatenated(parts.map(\.hiddenStates), axis: 0),
    textTime: textTimes.isEmpty
      ? nil
      : Conditioning.TextTime(
        pooledText: concatenated(textTimes.map(\.pooledText), axis: 0),
        sizes: textTimes.flatMap(\.sizes)))
}
