import Foundation
import HostResources

/// The sizes of one attention and the layout of its tokens: token `t` of image `b` and head `h`
/// begins `(b * count + t) * stride + h * headWidth` floats after the pointer.
public struct AttentionShape: Equatable, Sendable {
  public var batch: Int
  public var heads: Int
  public var queryCount: Int
  public var keyCount: Int
  public var headWidth: Int
  /// Floats from one token to the next: `heads * headWidth` for packed tokens.
  public var queryStride: Int
  public var keyStride: Int
  public var valueStride: Int
  public var outputStride: Int
  public var scale: Float
  /// Whether query `i` attends only to the keys `0...i`.
  public var isCausal: Bool

  /// Omitted strides are those of packed tokens; the default scale is `1 / sqrt(headWidth)`.
  public init(
    batch: Int, heads: Int, queryCount: Int, keyCount: Int, headWidth: Int,
    queryStride: Int? = nil, keyStride: Int? = nil, valueStride: Int? = nil,
    outputStride: Int? = nil, scale: Float? = nil, isCausal: Bool = false
  ) {
    self.batch = batch
    self.heads = heads
    self.queryCount = queryCount
    self.keyCount = keyCount
    self.headWidth = headWidth
    self.queryStride = queryStride ?? heads * headWidth
    self.keyStride = keyStride ?? heads * headWidth
    self.valueStride = valueStride ?? heads * headWidth
    self.outputStride = outputStride ?? heads * headWidth
    self.scale = scale ?? 1 / Float(max(1, headWidth)).squareRoot()
    self.isCausal = isCausal
  }

  /// Multiplications of the forward pass, masked ones included.
  public var multiplications: Int { 2 * batch * heads * queryCount * keyCount * headWidth }

  /// The queries of one block, except a head's last.
  var queriesOfBlock: Int { min(AttentionBlock.queriesAtOnce, queryCount) }
  /// The blocks of each head's queries.
  var blockCount: Int { (queryCount + queriesOfBlock - 1) / max(1, queriesOfBlock) }

  /// The order in which blocks of queries are processed.
  fileprivate func place(ofBlock item: Int) -> (image: Int, head: Int, index: Int) {
    let count = blockCount
    let (image, rest) = item.quotientAndRemainder(dividingBy: heads * count)
    if keyCount > 512 {
      // One head's keys and values stay in cache, rather than all heads'.
      return (image, rest / count, rest % count)
    }
    // The heads of one query are adjacent in memory: they are read together.
    return (image, rest % heads, rest / heads)
  }

  /// Whether it pays to find out if all scores are so small that no maxima are needed.
  ///
  /// It does not for a single block of keys; and without maxima, the weight of a masked key would
  /// not vanish.
  var mayBeBounded: Bool { keyCount > AttentionBlock.keysAtOnce && !isCausal }

  /// Returns the keys to which at least one of the queries attends.
  func visibleKeys(_ queries: Range<Int>) -> Int {
    isCausal ? min(keyCount, queries.upperBound) : keyCount
  }
}

/// `output = softmax(scale query key^T) value` for every image and head.
///
/// - Parameter logSumExp: `[batch, heads, queryCount]`, the logarithm of the softmax's denominator;
///   ``attendGradients(query:key:value:output:outputGradient:logSumExp:queryGradient:keyGradient:valueGradient:_:)``
///   needs it.
public func attend(
  query: UnsafePointer<Float>, key: UnsafePointer<Float>, value: UnsafePointer<Float>,
  into output: UnsafeMutablePointer<Float>, logSumExp: UnsafeMutablePointer<Float>?,
  _ shape: AttentionShape, form: TileForm = .native
) {
  let keys = HeadTokens(key, stride: shape.keyStride, shape)
  let keyLengths = shape.mayBeBounded ? KeyLengths(keys, shape) : nil
  let values = HeadTokens(value, stride: shape.valueStride, shape)
  let size = shape.queriesOfBlock
  let work = 2 * size * shape.keyCount * (shape.headWidth + 16)
  parallelBlocks(shape.batch * shape.heads * shape.blockCount, work: work) { items in
    let block = AttentionBlock(shape, keys: keys, keyLengths, values: values, form)
    for item in items {
      let (image, head, index) = shape.place(ofBlock: item)
      let queries = index * size..<min(shape.queryCount, (index + 1) * size)
      let first = image * shape.queryCount + queries.lowerBound
      let offset = head * shape.headWidth
      block.attend(
        image * shape.heads + head, queries, query + first * shape.queryStride + offset,
        into: output + first * shape.outputStride + offset,
        logSumExp: logSumExp.map {
          $0 + (image * shape.heads + head) * shape.queryCount + queries.lowerBound
        })
    }
  }
}
