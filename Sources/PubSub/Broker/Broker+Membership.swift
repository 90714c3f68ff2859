extension Broker {
    /// Makes `peer` a publisher of the channel and tells it `OK`. On a channel that is paused it is then paused.
    ///
    /// - Throws: ``ProtocolError/tooManyChannels(limit:)``.
    func addPublisher(_ peer: P, to name: ChannelName) throws(ProtocolError) -> Membership<P> {
        let channel = try openChannel(name)
        let membership = Membership(channel: channel, id: nextID())
        channel.publishers.insert(peer, id: membership.id)
        statistics.publishers += 1
        reply(.ok, to: peer)
        emit(.joined(peer, .publisher(of: name)))
        tellPublishers(of: channel)
        return membership
    }

    /// Makes `peer` a subscriber of the channel and tells it `OK`, before any message.
    ///
    /// - Throws: ``ProtocolError/tooManyChannels(limit:)``, ``ProtocolError/tooManySubscribers(limit:)``.
    func addSubscriber(_ peer: P, to name: ChannelName) throws(ProtocolError) -> Membership<P> {
        let limit = configuration.limits.subscribersPerChannel
        if let limit, subscriberCount(of: name) >= limit {
            throw .tooManySubscribers(limit: limit)
        }
        let channel = try openChannel(name)
        let membership = Membership(channel: channel, id: nextID())
        channel.subscribers.insert(peer, id: membership.id)
        statistics.subscribers += 1
        reply(.ok, to: peer)
        emit(.joined(peer, .subscriber(of: name)))
        return membership
    }

    /// Forgets a publisher. If it was the last one, ``BrokerConfiguration/onPublisherExit`` says what follows.
    func removePublisher(_ peer: P, _ membership: Membership<P>, _ departure: Departure) {
        let channel = membership.channel
        guard let wasPaused = channel.publishers.remove(membership.id) else { return }
        statistics.publishers -= 1
        if wasPaused { peer.resumeReading() }
        emit(.left(peer, .publisher(of: channel.name), departure))
        settle(channel, publisherLeft: true)
    }

    /// Forgets a subscriber, at once and in the middle of a delivery too. One that is gone already stays so.
    func removeSubscriber(_ peer: P, _ membership: Membership<P>, _ departure: Departure) {
        let channel = membership.channel
        guard channel.subscribers.remove(membership.id) else { return }
        statistics.subscribers -= 1
        emit(.left(peer, .subscriber(of: channel.name), departure))
        settle(channel, publisherLeft: false)
    }

    /// The channel of that name, made if there is none.
    private func openChannel(_ name: ChannelName) throws(ProtocolError) -> Channel<P> {
        if let channel = channels[name] { return channel }
        if let limit = configuration.limits.channels, channels.count >= limit {
            throw .tooManyChannels(limit: limit)
        }
        let channel = Channel<P>(name: name)
        channels[name] = channel
        statistics.channels += 1
        return channel
    }

    /// Does what is due when somebody has left: dismisses who has nothing to wait for, drops a deserted channel, lets
    /// publishers go on.
    private func settle(_ channel: Channel<P>, publisherLeft: Bool) {
        var dismissed: [P] = []
        if publisherLeft, channel.publishers.isEmpty, configuration.onPublisherExit == .bye {
            // Out of the list before anything is sent: what a peer does in its `send` finds none of them any more.
            dismissed = channel.subscribers.removeAll()
            statistics.subscribers -= dismissed.count
        }
        // A deserted channel may have been dropped before, and its name be that of another one by now.
        if channel.isDeserted, channels[channel.name] === channel {
            channels[channel.name] = nil
            statistics.channels -= 1
        }
        // Before anything is sent, too: the next channel of this name is none of this one's business.
        resumeIfNobodyIsBehind(on: channel)
        for peer in dismissed {
            reply(.bye, to: peer)
            peer.close()
            emit(.left(peer, .subscriber(of: channel.name), .dismissed))
        }
    }
}
