extension UNetConfiguration {
  /// Numbers of a LoRA on every projection of every attention.
  public func adapterWeightCount(rank: Int) -> Int {
    // The number of places does not matter.
    parts(height: 1 << channels.count, width: 1 << channels.count, tokens: 1).reduce(0) {
      sum, part in
      guard case .transformer(let layers, _, let contextWidth, _) = part.kind else { return sum }
      let width = part.inputs
      // Self-attention four times width to width, attention to the prompt twice from its width.
      return sum + layers * rank * (4 * 2 * width + 2 * 2 * width + 2 * (width + contextWidth))
    }
  }

  /// The largest rank that a LoRA can use in every projection of every attention, the least of their widths;
  /// nil where no level has attention.
  public var largestAdapterRank: Int? {
    let levels = channels.indices.filter {
      downBlocks[$0] == .crossAttention || upBlocks[channels.count - 1 - $0] == .crossAttention
    }
    let widths = levels.map { channels[$0] } + (hasMiddleBlock ? channels.suffix(1) : [])
    return widths.min().map { min($0, contextWidth) }
  }
}
